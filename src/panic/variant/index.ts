import type { Variant } from "../model.ts";
import type { VariantName } from "../settings.ts";
import { beforeSeed } from "./before-seed.ts";
import { newest } from "./newest.ts";
import { seed } from "./seed.ts";
import { v61 } from "./v6.1.ts";

/** By name. */
export const variants: Readonly<Record<VariantName, Variant>> = { "before-seed": beforeSeed, seed, "v6.1": v61, newest };
