import type { FileDocument } from "../api";
import type { IconName } from "../ui";

export type Kind = "folder" | "image" | "video" | "audio" | "pdf" | "text" | "code" | "document" | "zip" | "file";

const endings: Record<string, Kind> = {};
const add = (kind: Kind, names: string) => { for (const name of names.split(" ")) endings[name] = kind; };
add("image", "jpg jpeg png gif webp avif heic heif tif tiff bmp svg jxl ico");
add("video", "mp4 m4v mov webm mkv avi ogv mpg mpeg");
add("audio", "mp3 m4a aac ogg oga opus wav flac weba");
add("pdf", "pdf");
add("text", "txt md markdown log csv tsv rtf");
add("code", "js mjs cjs ts tsx jsx json jsonc html htm css scss xml yaml yml toml ini sh bash py rs go c h cpp hpp java kt rb php sql lua swift r pl");
add("document", "doc docx odt xls xlsx ods ppt pptx odp pages numbers key epub");
add("zip", "zip tar gz tgz bz2 xz zst 7z rar");

export function kindOf(file: Pick<FileDocument, "name" | "type">): Kind {
  if (file.type === "folder" || file.type === "image") return file.type;
  return endings[file.name.slice(file.name.lastIndexOf(".") + 1).toLowerCase()] ?? "file";
}

export const kindIcon: Record<Kind, IconName> = {
  folder: "folder", image: "image", video: "video", audio: "audio", pdf: "pdf", text: "text", code: "code", document: "document", zip: "zip", file: "file",
};
