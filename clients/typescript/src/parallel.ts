/**
 * Run `work` on every item, at most `width` at a time, and return the results in order. The first failure aborts the
 * signal that the others hold, and is thrown when all of them have ended.
 */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  work: (item: Item, signal: AbortSignal, index: number) => Promise<Result>,
): Promise<Result[]> {
  const stop = new AbortController();
  const results: Result[] = new Array<Result>(items.length);
  const queue = items.entries();
  const worker = async () => {
    // The workers share one iterator, so each item is taken once.
    for (const [index, item] of queue) {
      if (stop.signal.aborted) return;
      try {
        results[index] = await work(item, stop.signal, index);
      } catch (error) {
        if (!stop.signal.aborted) stop.abort(error);
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  stop.signal.throwIfAborted();
  return results;
}
