import { useEffect, useRef, useState } from "preact/hooks";
import { focusList } from "./files/keyboard";
import { t } from "./i18n";
import { navigate, type Route, route } from "./router";
import { Icon } from "./ui";

/** The field in the header. It searches while the user types; Esc goes back to where the search began. */
export function SearchField() {
  const to = route.value;
  const query = to.screen === "search" ? to.query : "";
  const [text, setText] = useState(query);
  const field = useRef<HTMLInputElement>(null);
  const from = useRef<Route>({ screen: "files", folder: null });
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    if (to.screen !== "search") from.current = to;
    if (document.activeElement !== field.current || to.screen !== "search") setText(query);
  }, [to]);

  const search = (value: string) => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      const searching = route.peek().screen === "search";
      if (value.trim()) navigate({ screen: "search", query: value }, { replace: searching });
      else if (searching) navigate(from.current, { replace: true });
    }, 200);
  };
  const leave = () => {
    clearTimeout(timer.current);
    setText("");
    if (route.peek().screen === "search") navigate(from.current, { replace: true });
  };
  return (
    <form class="search" role="search" onSubmit={(event) => { event.preventDefault(); focusList(); }}>
      <Icon name="search" />
      <input ref={field} id="search" type="search" enterkeyhint="search" autocomplete="off" placeholder={t("search.label")} aria-label={t("search.label")} value={text} maxLength={255} dir="auto"
        onInput={(event) => search(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") { event.preventDefault(); leave(); field.current?.blur(); }
          if (event.key === "ArrowDown") { event.preventDefault(); focusList(); }
        }} />
      {text ? <button type="button" class="icon-button small" aria-label={t("search.clear")} onClick={() => { leave(); field.current?.focus(); }}><Icon name="close" size={18} /></button> : <kbd aria-hidden="true">/</kbd>}
    </form>
  );
}
