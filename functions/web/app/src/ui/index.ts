export { confirm, Dialog, openDialog } from "./dialog";
export { Empty } from "./empty";
export { Icon, type IconName } from "./icons";
export { lazy } from "./lazy";
export { type MenuEntry, type MenuItem, openMenu } from "./menu";
export { Skeleton } from "./skeleton";
export { addStyles } from "./styles";
export { toast, Toasts } from "./toast";
