// The parts of OHIF that the bridge touches, as version 3.13 has them.
export {};

declare global {
  interface Window {
    PUBLIC_URL: string;
    browserImportFunction: (name: string) => Promise<unknown>;
    config: Record<string, unknown>;
    cornerstone?: { getRenderingEngines(): { render(): void }[] | undefined };
  }
}
