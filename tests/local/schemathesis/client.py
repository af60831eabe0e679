"""A client of the API that makes the data for its requests. As a program it signs a user up and prints a token."""

import base64
import hashlib
import re
import sys
import uuid

import requests

PASSWORD = "toto1234!"


class User:
    """A user with an account and an open session. Without a token a new user signs up."""

    def __init__(self, api, token=None):
        self.api, self.token = api, token
        if token is None:
            self.email = f"{uuid.uuid4()}@example.org"
            self.post("/users", {"email": self.email, "password": PASSWORD})
            self.token = self.answer("GET", "/connect", headers={"Authorization": self.basic()})["token"]

    def basic(self):
        return "Basic " + base64.b64encode(f"{self.email}:{PASSWORD}".encode()).decode()

    def session(self):
        """The id of the session."""
        return hashlib.sha256(self.token.encode()).hexdigest()[:24]

    def cookie(self):
        """The cookie of the web app."""
        kept = requests.post(f"{self.api}/web/session", headers={"X-Token": self.token})
        return kept.headers["Set-Cookie"].split("=", 1)[1].split(";")[0]

    def file_of_the_app(self):
        page = requests.get(f"{self.api}/").text
        return re.search(r'"/app/([^"]+)"', page).group(1)

    def key(self):
        """The id of an API key: a user may have a hundred."""
        keys = self.answer("GET", "/users/me/keys")
        return (keys or [self.post("/users/me/keys", {"name": "a key", "scopes": ["read"]})])[0]["id"]

    def folder(self):
        return self.post("/files", {"name": "a folder", "type": "folder"})

    def file(self):
        return self.post("/files", {"name": "a.txt", "type": "file", "isPublic": True, "data": "SGVsbG8h"})

    def zip(self):
        return self.post("/zips", {"ids": [self.file()["id"]]})

    def version(self):
        """A file, and a content that the file had before."""
        new = {"name": f"{uuid.uuid4()}.txt", "type": "file", "data": "SGVsbG8h"}
        file = self.post("/files", new)["id"]
        self.post("/files", {**new, "data": "SGk=", "onConflict": "replace"})
        return file, self.answer("GET", f"/files/{file}/versions")[0]["id"]

    def upload(self, size):
        return self.post("/files", {"name": "a.txt", "type": "file", "size": size})

    def sent(self, upload):
        """Sends the two bytes of an upload to S3."""
        requests.put(upload["upload"]["url"], data=b"hi", headers=upload["upload"]["headers"]).raise_for_status()
        return upload

    def signed(self, method):
        return self.post("/uploads/sign", {"method": method, "key": "a.txt"})

    def ticket(self):
        return self.post("/uploads/tickets", {})

    def link(self, file=None, **limits):
        """A link to a file, or to a new folder."""
        return self.post("/links", {"fileId": file or self.folder()["id"], **limits})

    def part(self, ticket):
        """A multipart upload with a ticket, and its only part."""
        path = f"/uploads/{ticket}/s3/multipart"
        upload = self.post(path, {"filename": "a.txt"})
        part = self.answer("GET", f"{path}/{upload['uploadId']}/1", params={"key": upload["key"]})
        put = requests.put(part["url"], data=b"hi")
        put.raise_for_status()
        return upload, {"PartNumber": 1, "ETag": put.headers["ETag"]}

    def post(self, path, body):
        return self.answer("POST", path, json=body)

    def answer(self, method, path, headers=None, **options):
        headers = headers or ({"X-Token": self.token} if self.token else {})
        response = requests.request(method, f"{self.api}{path}", headers=headers, **options)
        response.raise_for_status()
        return response.json()


if __name__ == "__main__":
    print(User(sys.argv[1]).token)
