/** Grey rows in place of content that is loading. */
export function Skeleton({ rows = 8 }: { rows?: number }) {
  return <div class="skeleton" aria-hidden="true">{Array.from({ length: rows }, (_, i) => <div key={i} class="skeleton-row" />)}</div>;
}
