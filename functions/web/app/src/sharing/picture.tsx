/** Two documents on one chain, for the screen without links. */
export function Picture() {
  return (
    <svg class="links-picture" width="180" height="120" viewBox="0 0 180 120" fill="none" aria-hidden="true">
      <ellipse class="ground" cx="90" cy="106" rx="72" ry="8" />
      <path class="paper" d="M30 26h36l14 14v52H30Z" />
      <path class="line" d="M40 52h28M40 62h28M40 72h18" />
      <path class="paper" d="M102 34h34l14 14v50h-48Z" />
      <path class="line" d="M112 60h26M112 70h26M112 80h16" />
      <path class="chain" d="M84 74a10 10 0 0 1 0-14l10-10a10 10 0 0 1 14 14l-4 4M98 50a10 10 0 0 1 0 14l-10 10a10 10 0 0 1-14-14l4-4" />
    </svg>
  );
}
