import { useEffect } from "preact/hooks";
import { files, refreshFolder } from "./state";

export function FilesScreen() {
  useEffect(() => void refreshFolder(null), []);
  return <ul>{files.value.map((file) => <li key={file.id}>{file.name}</li>)}</ul>;
}
