import { createBLAKE3 } from "hash-wasm";

/** BLAKE3-256 of bytes that come piece by piece, as `b3sum` prints it. */
export interface Blake3 {
  update(bytes: Uint8Array): void;
  /** 64 lower-case hex digits. Nothing can be added afterwards. */
  hex(): string;
}

/** A new BLAKE3 in its initial state. */
export async function blake3(): Promise<Blake3> {
  const hasher = await createBLAKE3();
  hasher.init();
  return {
    update: (bytes) => void hasher.update(bytes),
    hex: () => hasher.digest("hex"),
  };
}
