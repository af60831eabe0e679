import { addEnglish } from "../i18n";
import texts from "../i18n/en/viewer";

addEnglish(texts);
