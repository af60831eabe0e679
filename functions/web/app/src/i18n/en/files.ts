export default {
  "files.all": "My files",
};
