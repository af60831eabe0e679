import type { Catalogue, Key } from ".";

/** All texts of a language whose plurals have these forms. */
export type Texts<Form extends Intl.LDMLPluralRule> = { [K in Key]: Catalogue[K] extends string ? string : Record<Form, string> };
