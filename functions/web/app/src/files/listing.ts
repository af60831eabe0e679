import { computed, signal } from "@preact/signals";
import type { FileDocument } from "../api";

export interface Page { items: FileDocument[]; cursor: string | null }

/** A list of documents that is read page by page, with what is selected in it. */
export class Listing {
  readonly items = signal<FileDocument[]>([]);
  readonly phase = signal<"loading" | "ready" | "failed">("loading");
  /** True if there are more documents than were read. */
  readonly more = signal(false);
  readonly index = computed(() => new Map(this.items.value.map((file, index) => [file.id, index])));
  readonly selected = signal<ReadonlySet<string>>(new Set());
  /** The document that has the focus, or gets it when the list gets it. */
  readonly cursor = signal<string | null>(null);
  anchor: string | null = null;
  /** Where the list was scrolled to, for the way back. */
  scroll = 0;
  error: unknown;
  readAt = 0;
  #next: string | null = null;
  #reading: Promise<void> | null = null;
  #ended = new AbortController();

  constructor(
    readonly key: string,
    private readonly read: (cursor: string | null, signal: AbortSignal) => Promise<Page>,
    /** The order of the documents; without one, new documents come first. */
    private readonly compare: ((a: FileDocument, b: FileDocument) => number) | null,
    /** Whether a document is one of this list. */
    readonly has: (file: FileDocument) => boolean,
  ) {}

  /** Reads the list from its beginning. What is shown stays until the answer is there. */
  async load(): Promise<void> {
    this.#ended.abort();
    this.#ended = new AbortController();
    this.#next = null;
    this.#reading = null;
    if (!this.items.peek().length) this.phase.value = "loading";
    await this.#page(true);
  }

  /** Shows what the list began with at an earlier time, until it is read. */
  restore(items: FileDocument[], more: boolean): void {
    this.items.value = items;
    this.more.value = more;
    this.phase.value = "ready";
  }

  /** Reads the next page, if there is one. */
  loadMore(): Promise<void> {
    return this.more.peek() ? this.#page(false) : Promise.resolve();
  }

  async loadAll(): Promise<void> {
    while (this.more.peek() && this.phase.peek() === "ready") await this.loadMore();
  }

  #page(first: boolean): Promise<void> {
    this.#reading ??= this.#readPage(first, this.#ended.signal);
    return this.#reading;
  }

  async #readPage(first: boolean, ended: AbortSignal): Promise<void> {
    try {
      const { items, cursor } = await this.read(this.#next, ended);
      if (ended.aborted) return;
      this.#next = cursor;
      const known = first ? null : this.index.peek();
      this.items.value = known ? this.items.peek().concat(items.filter(({ id }) => !known.has(id))) : items;
      this.more.value = cursor !== null;
      this.phase.value = "ready";
      this.readAt = Date.now();
      if (first) this.#forget();
    } catch (error) {
      if (ended.aborted) return;
      this.error = error;
      if (first && !this.items.peek().length) this.phase.value = "failed";
    } finally {
      if (!ended.aborted) this.#reading = null;
    }
  }

  /** Takes what is no longer there out of the selection. */
  #forget(): void {
    const { index, selected, cursor } = this;
    const left = [...selected.peek()].filter((id) => index.peek().has(id));
    if (left.length < selected.peek().size) selected.value = new Set(left);
    if (cursor.peek() && !index.peek().has(cursor.peek()!)) cursor.value = null;
  }

  get(id: string): FileDocument | undefined {
    const at = this.index.peek().get(id);
    return at === undefined ? undefined : this.items.peek()[at];
  }

  /** The selected documents, in the order of the list. */
  readonly chosen = computed(() => {
    const chosen = this.selected.value;
    return chosen.size ? this.items.value.filter(({ id }) => chosen.has(id)) : [];
  });

  upsert(file: FileDocument): void {
    if (!this.has(file)) return this.remove([file.id]);
    const before = this.get(file.id);
    const items = this.items.peek().slice();
    const merged = before ? { ...("path" in before && { path: before.path }), ...file } : file;
    if (before && (!this.compare || this.compare(before, merged) === 0)) {
      items[this.index.peek().get(file.id)!] = merged;
    } else {
      if (before) items.splice(this.index.peek().get(file.id)!, 1);
      const at = this.#place(items, merged);
      // What belongs behind the part that was read comes with a later page.
      if (at === items.length && this.more.peek()) return void (before && (this.items.value = items));
      items.splice(at, 0, merged);
    }
    this.items.value = items;
  }

  #place(items: FileDocument[], file: FileDocument): number {
    if (!this.compare) return 0;
    let low = 0;
    let high = items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.compare(items[middle]!, file) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  remove(ids: Iterable<string>): void {
    const gone = new Set(ids);
    const index = this.index.peek();
    if (![...gone].some((id) => index.has(id))) return;
    const items = this.items.peek();
    const cursor = this.cursor.peek();
    if (cursor && gone.has(cursor)) {
      const at = index.get(cursor) ?? 0;
      const near = items.slice(at).find(({ id }) => !gone.has(id)) ?? items.slice(0, at).reverse().find(({ id }) => !gone.has(id));
      this.cursor.value = near?.id ?? null;
    }
    this.items.value = items.filter(({ id }) => !gone.has(id));
    this.#forget();
  }

  select(ids: Iterable<string>): void {
    this.selected.value = new Set(ids);
  }

  /** Selects one document, and moves the focus to it. */
  selectOne(id: string): void {
    this.select([id]);
    this.anchor = id;
    this.cursor.value = id;
  }

  toggle(id: string): void {
    const next = new Set(this.selected.peek());
    if (!next.delete(id)) next.add(id);
    this.selected.value = next;
    this.anchor = id;
    this.cursor.value = id;
  }

  /** Selects all from the anchor to a document. */
  selectTo(id: string, add = false): void {
    const index = this.index.peek();
    const from = index.get(this.anchor ?? id) ?? 0;
    const to = index.get(id) ?? 0;
    const range = this.items.peek().slice(Math.min(from, to), Math.max(from, to) + 1).map((file) => file.id);
    this.select(add ? [...this.selected.peek(), ...range] : range);
    this.cursor.value = id;
  }

  clear(): void {
    if (this.selected.peek().size) this.selected.value = new Set();
  }

  /** Ends what is being read. */
  end(): void {
    this.#ended.abort();
    this.#reading = null;
  }
}
