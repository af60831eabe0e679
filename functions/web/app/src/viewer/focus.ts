import { useEffect } from "preact/hooks";

/** Gives the focus to what scrolls, so that keys scroll it, unless the user has put the focus elsewhere. */
export function useFocus(place: { current: HTMLElement | null }, isThere: boolean): void {
  useEffect(() => {
    if (isThere && document.activeElement?.matches(".viewer, body")) place.current?.focus({ preventScroll: true });
  }, [isThere]);
}
