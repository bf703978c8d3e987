import type { Variant } from "../model.ts";
import type { VariantName } from "../settings.ts";
import { beforeSeed } from "./before-seed.ts";
import { newest } from "./newest.ts";
import { seed } from "./seed.ts";
import { v61 } from "./v6.1.ts";

/** By name. */
export const variants: Readonly<Record<VariantName, Variant>> = { "before-seed": beforeSeed, seed, "v6.1": v61, newest };

/** The one that comes nearest to a release: panic_force_cpu, by which the newest differs, came with 7.0. What is no release is new. */
export function variantOf(release: string): VariantName {
  return Number(/^\d+/.exec(release)?.[0] ?? NaN) < 7 ? "v6.1" : "newest";
}
