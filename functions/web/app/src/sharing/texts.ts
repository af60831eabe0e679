import { addEnglish } from "../i18n";
import texts from "../i18n/en/sharing";

addEnglish(texts);
