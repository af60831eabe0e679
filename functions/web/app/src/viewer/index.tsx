import type { FileDocument } from "../api";

export interface ViewerProps { file: FileDocument; siblings: FileDocument[]; onClose: () => void }
export function Viewer(_props: ViewerProps) { return null; }
