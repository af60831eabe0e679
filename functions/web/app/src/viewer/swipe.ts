/** The way of a finger, in pixels, that turns to the next file. */
const FAR = 60;

/** Listeners that turn with a finger: `turn` gets 1 for the next file, -1 for the previous one. */
export function swipes(turn: (by: number) => void) {
  return {
    onTouchStart: (event: TouchEvent) => {
      const place = event.currentTarget as HTMLElement;
      const [touch] = event.touches;
      if (event.touches.length !== 1 || (event.target as Element).closest("[data-zoomed], video, audio, button")) delete place.dataset.x;
      else { place.dataset.x = String(touch!.clientX); place.dataset.y = String(touch!.clientY); }
    },
    onTouchEnd: (event: TouchEvent) => {
      const { dataset } = event.currentTarget as HTMLElement;
      const touch = event.changedTouches[0]!;
      if (dataset.x === undefined || event.touches.length > 0) return;
      const x = touch.clientX - Number(dataset.x);
      const y = touch.clientY - Number(dataset.y);
      delete dataset.x;
      if (Math.abs(x) < FAR || Math.abs(y) > Math.abs(x) / 2) return;
      const isForward = document.documentElement.dir === "rtl" ? x > 0 : x < 0;
      turn(isForward ? 1 : -1);
    },
  };
}
