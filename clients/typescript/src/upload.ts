import type { Connection } from "./connection.js";
import type { UploadFile } from "./gen/regsvc/v1/artifact_pb.js";
import { byteCount } from "./uint64.js";

/** What the server has of an upload's files, by path. An upload of very many files comes in pages. */
export async function* uploadFiles(connection: Connection, upload: string): AsyncGenerator<UploadFile> {
  for (let afterPath = ""; ; ) {
    const request = { name: upload, afterPath };
    const response = await connection.call((call) => connection.artifacts.getUpload(request, call));
    const files = response.upload?.files ?? [];
    yield* files;
    const last = files.at(-1);
    if (!response.moreFiles || last === undefined) return;
    afterPath = last.path;
  }
}

/** How many bytes of one file need not be sent again. */
export async function committedSize(connection: Connection, upload: string, path: string): Promise<number> {
  for await (const file of uploadFiles(connection, upload)) {
    if (file.path === path) return byteCount(file.committedSize);
  }
  return 0;
}
