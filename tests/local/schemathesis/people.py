"""Who uses the API while it is tested. As a program it signs somebody up, and prints their e-mail, password
and token."""

import os
import sys
import uuid

import requests

PASSWORD = "toto1234!"


class Person:
    """Somebody with an account and an open session."""

    def __init__(self, api):
        self.email = f"{uuid.uuid4()}@example.org"
        requests.post(f"{api}/users", json={"email": self.email, "password": PASSWORD}).raise_for_status()
        session = requests.get(f"{api}/connect", auth=(self.email, PASSWORD))
        session.raise_for_status()
        self.token = session.json()["token"]


if __name__ == "__main__":
    person = Person(sys.argv[1])
    print(person.email, PASSWORD, person.token)
