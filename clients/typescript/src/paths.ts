import { RegsvcError } from "./errors.js";

const LONGEST_PATH = 1024;
// The Unicode category Cc: C0, DEL and C1.
const CONTROL = /\p{Cc}/u;

/**
 * Return the path if a version may hold a file of that name: relative, `/` between components, no `.` or `..`,
 * no control character, no backslash, well-formed Unicode, at most 1,024 bytes. Throws PATH_INVALID.
 *
 * A pull checks too: a server must not be able to write outside the destination.
 */
export function checkPath(path: string): string {
  const why = objection(path);
  if (why !== undefined) throw bad(path, why);
  return path;
}

/** Check every path, and that none occurs twice or is the directory of another. Throws PATH_INVALID. */
export function checkTree(paths: Iterable<string>): void {
  const files = new Set<string>();
  for (const path of paths) {
    checkPath(path);
    if (files.has(path)) throw bad(path, "it occurs twice");
    files.add(path);
  }
  for (const path of files) {
    for (let end = path.indexOf("/"); end >= 0; end = path.indexOf("/", end + 1)) {
      if (files.has(path.slice(0, end))) throw bad(path.slice(0, end), "it is a file and a directory");
    }
  }
}

function objection(path: string): string | undefined {
  if (path === "") return "it is empty";
  if (path.startsWith("/")) return "it is absolute";
  if (!path.isWellFormed()) return "it is not Unicode";
  if (path.includes("\\")) return "it holds a backslash";
  if (CONTROL.test(path)) return "it holds a control character";
  if (Buffer.byteLength(path) > LONGEST_PATH) return `it is longer than ${LONGEST_PATH} bytes`;
  for (const component of path.split("/")) {
    if (component === "") return "it has an empty component";
    if (component === "." || component === "..") return `it has a component '${component}'`;
  }
  return undefined;
}

function bad(path: string, why: string): RegsvcError {
  return new RegsvcError("PATH_INVALID", `bad path ${JSON.stringify(path.slice(0, 80))}: ${why}`, { path });
}
