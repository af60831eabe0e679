import { type ComponentChildren, render, type VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { Icon } from "./icons";

/**
 * Opens a modal dialog. `content` gets a function that closes it with a result; Esc closes it with undefined.
 * The focus returns to where it was.
 */
export function openDialog<T = void>(content: (close: (result?: T) => void) => VNode, kind = ""): Promise<T | undefined> {
  const before = document.activeElement as HTMLElement | null;
  const dialog = document.createElement("dialog");
  dialog.className = `dialog ${kind}`;
  document.body.append(dialog);
  return new Promise((resolve) => {
    let result: T | undefined;
    const close = (value?: T) => { result = value; dialog.close(); };
    dialog.addEventListener("close", () => {
      render(null, dialog);
      dialog.remove();
      if (before?.isConnected) before.focus();
      resolve(result);
    });
    dialog.addEventListener("mousedown", (event) => { if (event.target === dialog) dialog.close(); });
    // Only an open dialog takes the focus, which its content sets as it is rendered.
    dialog.showModal();
    render(content(close), dialog);
  });
}

interface DialogProps {
  title: string;
  children: ComponentChildren;
  /** The buttons at the end. */
  actions?: ComponentChildren;
  onClose: () => void;
  /** With it the dialog is a form, which Enter submits. */
  onSubmit?: () => void;
}

/** The frame of a dialog: its title, a button that closes it, content and buttons. */
export function Dialog({ title, children, actions, onClose, onSubmit }: DialogProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    const dialog = heading.current!.closest("dialog")!;
    dialog.setAttribute("aria-labelledby", (heading.current!.id ||= `title-${Date.now().toString(36)}`));
    dialog.querySelector<HTMLElement>("[autofocus], input, select, textarea")?.focus();
    // The keyboard scrolls a text that is longer than the window.
    const body = dialog.querySelector<HTMLElement>(".dialog-body")!;
    if (body.scrollHeight > body.clientHeight && !body.querySelector("a, button, input, select, textarea")) body.tabIndex = 0;
  }, []);
  return (
    <form class="dialog-frame" method="dialog" noValidate onSubmit={(event) => { event.preventDefault(); (onSubmit ?? onClose)(); }}>
      <header class="dialog-head">
        <h2 ref={heading}>{title}</h2>
        <button type="button" class="icon-button" aria-label={t("core.close")} onClick={onClose}><Icon name="close" /></button>
      </header>
      <div class="dialog-body">{children}</div>
      {actions && <footer class="dialog-actions">{actions}</footer>}
    </form>
  );
}

interface Question { title: string; text: ComponentChildren; yes: string; danger?: boolean }

/** Asks a question; answers true if the user agrees. */
export async function confirm({ title, text, yes, danger }: Question): Promise<boolean> {
  const answer = await openDialog<boolean>((close) => (
    <Dialog title={title} onClose={() => close()} onSubmit={() => close(true)} actions={<>
      <button type="button" class="button" onClick={() => close()}>{t("core.cancel")}</button>
      <button class={`button ${danger ? "danger" : "primary"}`} autofocus>{yes}</button>
    </>}>{text}</Dialog>
  ));
  return answer === true;
}
