import { defineConfig, type ViteUserConfig } from "vitest/config";

/** Real kernels crash in QEMU: minutes, not seconds, and one at a time on two cores. */
const config: ViteUserConfig = defineConfig({
  test: {
    reporters: ["default", "./tools/plain-reporter.ts"],
    include: ["test/lab/**/*.test.ts"],
    testTimeout: 900_000,
    hookTimeout: 900_000,
    fileParallelism: false,
  },
});

export default config;
