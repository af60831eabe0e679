// The Express server of `cargo local bench api`: the routes of the original "files manager" in one process, with current
// versions of its packages. Environment: MONGODB_URI, REDIS_URL, FOLDER_PATH. The first line of the output is the port on
// the loopback. With the argument `versions` it prints the versions instead.
//
// It has no queue, no thumbnails, and no routes that the bench does not call.

"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs/promises");
const path = require("node:path");
const express = require("express");
const mime = require("mime-types");
const { MongoClient, ObjectId } = require("mongodb");
const { createClient } = require("redis");

const SESSION_SECONDS = 24 * 60 * 60;
const PAGE = 20;
const TYPES = ["folder", "file", "image"];

if (process.argv[2] === "versions") {
  const [expressVersion, mongodb] = ["express", "mongodb"].map((name) => require(`${name}/package.json`).version);
  console.log(JSON.stringify({ node: process.versions.node, express: expressVersion, mongodb }));
  process.exit();
}

const { MONGODB_URI, REDIS_URL, FOLDER_PATH } = process.env;
const mongodb = new MongoClient(MONGODB_URI);
const redis = createClient({ url: REDIS_URL }).on("error", console.error);
const users = mongodb.db().collection("users");
const files = mongodb.db().collection("files");
let isMongodbAlive = false;
mongodb.on("topologyDescriptionChanged", ({ newDescription }) => {
  isMongodbAlive = [...newDescription.servers.values()].some(({ type }) => type !== "Unknown");
});

const sha1 = (text) => crypto.createHash("sha1").update(text).digest("hex");
/** The id, or one that nothing has. */
const idOf = (text) => new ObjectId(ObjectId.isValid(text) ? text : "0".repeat(24));
const view = ({ _id, userId, name, type, isPublic, parentId }) => ({ id: _id, userId, name, type, isPublic, parentId });

async function userOf(request) {
  const token = request.get("x-token");
  const id = token && (await redis.get(`auth_${token}`));
  return id ? users.findOne({ _id: new ObjectId(id) }) : null;
}

async function authenticated(request, response, next) {
  request.user = await userOf(request);
  if (request.user) next();
  else response.status(401).json({ error: "Unauthorized" });
}

const app = express();
// The limit of the original, which is enough for the base64 of the largest file here.
app.use(express.json({ limit: "200mb" }));

// Two flags, as in the original's `isAlive` of both stores. No request is sent to a store.
app.get("/status", (_, response) => {
  response.json({ redis: redis.isReady, db: isMongodbAlive });
});

app.post("/users", async ({ body: { email, password } = {} }, response) => {
  if (!email) return response.status(400).json({ error: "Missing email" });
  if (!password) return response.status(400).json({ error: "Missing password" });
  if (await users.findOne({ email })) return response.status(400).json({ error: "Already exist" });
  const { insertedId } = await users.insertOne({ email, password: sha1(password) });
  response.status(201).json({ id: insertedId, email });
});

app.get("/connect", async (request, response) => {
  const [scheme, credentials = ""] = (request.get("authorization") ?? "").split(" ");
  const [email, ...password] = Buffer.from(credentials, "base64").toString().split(":");
  const user = scheme === "Basic" && (await users.findOne({ email, password: sha1(password.join(":")) }));
  if (!user) return response.status(401).json({ error: "Unauthorized" });
  const token = crypto.randomUUID();
  await redis.set(`auth_${token}`, user._id.toHexString(), { EX: SESSION_SECONDS });
  response.json({ token });
});

app.get("/users/me", authenticated, ({ user }, response) => {
  response.json({ id: user._id, email: user.email });
});

app.post("/files", authenticated, async ({ user, body = {} }, response) => {
  const { name, type, parentId = 0, isPublic = false, data } = body;
  const refused = (error) => response.status(400).json({ error });
  if (!name) return refused("Missing name");
  if (!TYPES.includes(type)) return refused("Missing type");
  if (!data && type !== "folder") return refused("Missing data");
  if (parentId) {
    const parent = await files.findOne({ _id: idOf(parentId) });
    if (!parent) return refused("Parent not found");
    if (parent.type !== "folder") return refused("Parent is not a folder");
  }
  const file = { userId: user._id, name, type, isPublic, parentId: parentId && idOf(parentId) };
  if (type !== "folder") {
    await fs.mkdir(FOLDER_PATH, { recursive: true });
    file.localPath = path.join(FOLDER_PATH, crypto.randomUUID());
    await fs.writeFile(file.localPath, Buffer.from(data, "base64"));
  }
  await files.insertOne(file);
  response.status(201).json(view(file));
});

app.get("/files/:id", authenticated, async ({ user, params: { id } }, response) => {
  const file = await files.findOne({ _id: idOf(id), userId: user._id });
  if (!file) return response.status(404).json({ error: "Not found" });
  response.json(view(file));
});

app.get("/files", authenticated, async ({ user, query: { parentId, page } }, response) => {
  const found = files.aggregate([
    { $match: { userId: user._id, parentId: parentId && parentId !== "0" ? idOf(parentId) : 0 } },
    { $sort: { _id: 1 } },
    { $skip: (Number.parseInt(page, 10) || 0) * PAGE },
    { $limit: PAGE },
  ]);
  response.json((await found.toArray()).map(view));
});

app.put("/files/:id/publish", authenticated, async ({ user, params: { id } }, response) => {
  const mine = { _id: idOf(id), userId: user._id };
  const file = await files.findOne(mine);
  if (!file) return response.status(404).json({ error: "Not found" });
  await files.updateOne(mine, { $set: { isPublic: true } });
  response.json(view({ ...file, isPublic: true }));
});

app.get("/files/:id/data", async (request, response) => {
  const user = await userOf(request);
  const file = await files.findOne({ _id: idOf(request.params.id) });
  if (!file || !(file.isPublic || user?._id.equals(file.userId))) {
    return response.status(404).json({ error: "Not found" });
  }
  if (file.type === "folder") return response.status(400).json({ error: "A folder doesn't have content" });
  response.set("Content-Type", mime.contentType(file.name) || "application/octet-stream");
  // As in most implementations, Express streams the file.
  response.sendFile(file.localPath, { dotfiles: "allow" }, (error) => {
    if (error && !response.headersSent) response.status(404).json({ error: "Not found" });
  });
});

Promise.all([mongodb.connect(), redis.connect()]).then(() => {
  const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));
});
