// Sends files to the folder of a link: stock Uppy, which takes the place of the form that works without JavaScript.

import AwsS3 from "@uppy/aws-s3";
import Uppy from "@uppy/core";
import Dashboard from "@uppy/dashboard";

/** A ticket with less than these milliseconds left is replaced before an upload begins. */
const MARGIN = 10 * 60 * 1000;

const place = document.querySelector("[data-ticket]");
const { ticket, maxBytes, maxFiles, types, note } = place.dataset;

const uppy = new Uppy({
  id: "link",
  restrictions: {
    maxFileSize: maxBytes ? Number(maxBytes) : null,
    maxNumberOfFiles: maxFiles ? Number(maxFiles) : null,
    allowedFileTypes: types ? types.split(" ") : null,
  },
});

// A placeholder: the first upload sets the endpoint of a ticket.
uppy.use(AwsS3, { companionEndpoint: ticket, allowedMetaFields: ["name", "type"] });

let expires = 0;

uppy.addPreProcessor(async () => {
  if (expires - Date.now() > MARGIN) {
    return;
  }
  const answer = await fetch(ticket, { method: "POST", headers: { Accept: "application/json" } });
  if (!answer.ok) {
    const again = answer.status < 500 ? "Load this page again." : "Try again in a moment.";
    uppy.info(`The upload cannot begin. ${again}`, "error", 10_000);
    throw new Error(again);
  }
  const { companionEndpoint, expiresAt } = await answer.json();
  const s3 = uppy.getPlugin("AwsS3");
  s3.setOptions({ companionEndpoint });
  // The plugin reads the endpoint only here. Uploads in progress keep the endpoint that they began with.
  s3.install();
  expires = Date.parse(expiresAt);
});

place.replaceChildren();
uppy.use(Dashboard, {
  inline: true,
  target: place,
  width: "100%",
  height: 420,
  theme: "auto",
  note,
  proudlyDisplayPoweredByUppy: false,
  doneButtonHandler: null,
  locale: { strings: { dropPasteFiles: "Drop files here or %{browseFiles}", browseFiles: "choose files" } },
});
place.dataset.ready = "";
