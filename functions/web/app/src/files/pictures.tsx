import type { ComponentChildren } from "preact";

const Picture = ({ children }: { children: ComponentChildren }) => <svg class="picture" viewBox="0 0 200 140" width="200" height="140" aria-hidden="true">{children}</svg>;

export const EmptyFolder = () => (
  <Picture>
    <ellipse class="p-ground" cx="100" cy="124" rx="72" ry="8" />
    <path class="p-soft" d="M36 40c0-5 4-9 9-9h34l12 13h64c5 0 9 4 9 9v56c0 5-4 9-9 9H45c-5 0-9-4-9-9Z" />
    <path class="p-paper" d="M66 24h48l16 16v52H66Z" /><path class="p-line" d="M114 24v16h16M78 54h36M78 66h36M78 78h22" />
    <path class="p-main" d="M28 66c-1-5 3-9 8-9h128c5 0 9 4 8 9l-7 44c-1 5-5 8-9 8H44c-4 0-8-3-9-8Z" />
    <path class="p-arrow" d="M100 104V76m-12 11 12-12 12 12" />
  </Picture>
);

export const EmptySearch = () => (
  <Picture>
    <ellipse class="p-ground" cx="100" cy="124" rx="60" ry="8" />
    <path class="p-paper" d="M52 22h58l18 18v74H52Z" /><path class="p-line" d="M110 22v18h18M66 56h40M66 70h30M66 84h22" />
    <circle class="p-lens" cx="122" cy="82" r="25" /><path class="p-handle" d="m140 100 20 19" />
  </Picture>
);

export const EmptyTrash = () => (
  <Picture>
    <ellipse class="p-ground" cx="100" cy="124" rx="56" ry="8" />
    <path class="p-soft" d="M66 48h68l-6 66c0 4-3 6-7 6H79c-4 0-7-2-7-6Z" />
    <path class="p-line" d="M86 62l3 44M100 62v44M114 62l-3 44" />
    <path class="p-main" d="M58 38h84c3 0 5 2 5 5v5H53v-5c0-3 2-5 5-5ZM86 28h28c3 0 5 2 5 5v5H81v-5c0-3 2-5 5-5Z" />
  </Picture>
);
