import type { ComponentChildren } from "preact";

interface EmptyProps { picture?: ComponentChildren; title: string; text?: string; children?: ComponentChildren }

/** What a screen shows that has nothing to show: a picture, a sentence, and what to do. */
export function Empty({ picture, title, text, children }: EmptyProps) {
  return (
    <div class="empty">
      {picture}
      <h2>{title}</h2>
      {text && <p>{text}</p>}
      {children && <div class="empty-actions">{children}</div>}
    </div>
  );
}
