export default {
  "core.title": "Files Manager",
  "core.close": "Close",
  "core.dismiss": "Dismiss",
  "core.cancel": "Cancel",
};
