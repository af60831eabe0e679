// The page: stock Uppy, with content that a test can also generate. run.js calls `begin` and `resume`.

import AwsS3 from "@uppy/aws-s3";
import Uppy from "@uppy/core";

const MIB = 2 ** 20;

let going;

/** Uploads a file and tells how that ended, or, when half of it is sent, that it is `paused` or `cancelled`. */
globalThis.begin = (upload) => {
  const uppy = new Uppy();
  uppy.use(AwsS3, pluginOptions(upload));
  const file = uppy.addFile({ name: upload.name, type: upload.type, data: content(upload) });
  going = { uppy, file, ended: ended(uppy) };
  const ends = [going.ended];
  if (upload.atHalf) {
    // The pause is within a part, not between two parts.
    ends.push(reached(uppy, upload.size / 2 + 2 * MIB).then(interrupt[upload.atHalf]));
  }
  uppy.upload().catch(() => {}); // The events report the error too.
  return Promise.race(ends);
};

globalThis.resume = () => {
  going.uppy.pauseResume(going.file);
  return going.ended;
};

const interrupt = {
  pause() {
    going.uppy.pauseResume(going.file);
    return "paused";
  },
  cancel() {
    going.uppy.cancelAll();
    return "cancelled";
  },
};

function pluginOptions({ major, endpoint, sign, multipart }) {
  const threshold = multipart === undefined ? {} : { shouldUseMultipart: multipart };
  if (sign) {
    return { ...threshold, signRequest: (request) => signed(sign, request) };
  }
  return { ...threshold, [major === 5 ? "endpoint" : "companionEndpoint"]: endpoint };
}

/** As a page would write it that has a token. */
async function signed({ url, token }, request) {
  const headers = { "Content-Type": "application/json", "X-Token": token };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(request) });
  if (!response.ok) {
    throw new Error(`not signed: ${response.status}`);
  }
  return response.json();
}

function ended(uppy) {
  return new Promise((resolve) => {
    uppy.on("upload-success", (_, { body, uploadURL }) => resolve({ uploaded: { key: body.key, url: uploadURL } }));
    uppy.on("upload-error", (_, error) => resolve({ failed: error.message }));
  });
}

function reached(uppy, bytes) {
  return new Promise((resolve) => {
    uppy.on("upload-progress", (_, { bytesUploaded }) => bytesUploaded >= bytes && resolve());
  });
}

/** Words that all differ, so that bytes out of place are noticed; the first of a MiB is its number. */
function content({ name, type, size }) {
  const words = Uint32Array.from({ length: MIB / 4 }, (_, at) => Math.imul(at, 2654435761));
  const blocks = Array.from({ length: Math.ceil(size / MIB) }, (_, number) => {
    const block = words.slice();
    block[0] = number;
    return block;
  });
  return new File([new Blob(blocks).slice(0, size)], name, { type });
}
