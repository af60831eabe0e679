import account from "./en/account";
import core from "./en/core";
import files from "./en/files";
import sharing from "./en/sharing";
import uploads from "./en/uploads";
import viewer from "./en/viewer";

export default { ...core, ...files, ...uploads, ...viewer, ...sharing, ...account };
