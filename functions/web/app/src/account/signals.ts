import { signal } from "@preact/signals";

/** Counts the changes of the password: sessions and keys are others after each. */
export const passwordChanged = signal(0);
