import { signal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";

/** A component that is loaded when it is first shown. Shows nothing until then. */
export function lazy<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  const loaded = signal<ComponentType<Props> | null>(null);
  const start = () => { if (!loaded.peek()) load().then((component) => { loaded.value = component; }, () => setTimeout(start, 3000)); };
  return function Lazy(props: Props) {
    useEffect(start, []);
    const Component = loaded.value;
    return Component ? <Component {...props} /> : null;
  };
}
