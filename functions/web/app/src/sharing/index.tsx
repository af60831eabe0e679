import { addStyles } from "../ui";
import css from "./sharing.lazy.css";

addStyles(css);

export { openFileRequest } from "./request";
export { LinksScreen } from "./screen";
export { openShare } from "./share";
export { downloadZip } from "./zip";
