import { setTimeout as sleep } from "node:timers/promises";

import { fromWire, RegsvcError } from "./errors.js";

const FIRST_WAIT = 100;
const LONGEST_WAIT = 5_000;
const GROWTH = 1.5;

/** Growing waits with jitter, until `limit()` milliseconds have gone by since the first failure in a row. */
export class Patience {
  private since: number | undefined;
  private next = FIRST_WAIT;

  constructor(private readonly limit: () => number) {}

  /** Something was achieved: the next failure is the first again. */
  reset(): void {
    this.since = undefined;
    this.next = FIRST_WAIT;
  }

  /** Wait before the next attempt, or throw `failure`: it is not transient, or patience is over. */
  async wait(failure: RegsvcError, signal?: AbortSignal): Promise<void> {
    if (!failure.transient) throw failure;
    const now = performance.now();
    this.since ??= now;
    const left = this.since + this.limit() - now;
    if (left <= 0) throw failure;
    const jittered = this.next * (0.7 + 0.6 * Math.random());
    // Node's own AbortError would hide what the signal was aborted with.
    await sleep(Math.min(left, jittered), undefined, { signal }).catch(() => signal?.throwIfAborted());
    this.next = Math.min(LONGEST_WAIT, this.next * GROWTH);
  }
}

/** How `resumed` goes about a stream. */
export interface ResumeOptions {
  readonly patience: Patience;
  /** Milliseconds without any message after which the stream is taken for dead. */
  readonly silence?: number;
  /** Ends the stream; what aborted it is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The responses of a stream, across any number of disconnects.
 *
 * `open` starts the call at the position that its closure holds, and the caller moves that position on with each
 * response. Breaking out of the loop cancels the call.
 */
export async function* resumed<Response>(
  open: (signal: AbortSignal) => AsyncIterable<Response>,
  { patience, silence, signal }: ResumeOptions,
): AsyncGenerator<Response, void, undefined> {
  for (;;) {
    const call = new AbortController();
    const ends = signal === undefined ? call.signal : AbortSignal.any([call.signal, signal]);
    try {
      signal?.throwIfAborted();
      for await (const response of watched(open(ends), call, silence)) {
        patience.reset();
        yield response;
      }
      return;
    } catch (error) {
      signal?.throwIfAborted();
      await patience.wait(fromWire(error), signal);
    } finally {
      call.abort();
    }
  }
}

/** Passes a stream on; aborts its call when a message is waited for longer than `silence` milliseconds. */
async function* watched<T>(stream: AsyncIterable<T>, call: AbortController, silence?: number): AsyncGenerator<T> {
  if (silence === undefined) {
    yield* stream;
    return;
  }
  const messages = stream[Symbol.asyncIterator]();
  for (;;) {
    // Only while waiting: a caller that takes its time over a message is no silence of the server.
    const timer = setTimeout(() => call.abort(), silence);
    const { done, value } = await messages.next().finally(() => clearTimeout(timer));
    if (done === true) return;
    yield value;
  }
}
