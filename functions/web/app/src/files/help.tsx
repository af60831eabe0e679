import { t } from "../i18n";
import { Dialog, openDialog } from "../ui";

const mac = /Mac|iPhone|iPad/.test(navigator.platform);
const ctrl = mac ? "⌘" : "Ctrl";

function rows(): [string[], string][] {
  return [
    [["↑", "↓", "←", "→"], t("help.move")], [["Home", "End", "Page ↑", "Page ↓"], t("help.jump")], [["A … Z"], t("help.type")],
    [["Enter"], t("action.open")], [[t("help.space")], t("help.select")], [["Shift + ↓"], t("help.range")], [[`${ctrl} + A`], t("help.all")], [["Esc"], t("files.clearSelection")],
    [["Backspace"], t("help.up")], [["F2"], t("action.rename")], [["Delete"], t("action.trash")],
    [[`${ctrl} + X`, `${ctrl} + C`, `${ctrl} + V`], t("help.clipboard")], [["Shift + F10"], t("help.menu")], [["/"], t("search.label")], [["?"], t("help.title")],
  ];
}

export function openHelp(): void {
  void openDialog((close) => (
    <Dialog title={t("help.title")} onClose={() => close()}>
      <dl class="keys">{rows().map(([keys, text]) => <div key={text}><dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{text}</dd></div>)}</dl>
      <p class="muted">{t("help.mouse")}</p>
    </Dialog>
  ));
}
