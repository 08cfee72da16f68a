/** Addresses around a pipeline. A name that several projects have is said with its project. */
import { href } from "@/frame/address";

/** How a pipeline is asked for where its name alone may not be enough. */
export function nameOf(pipeline: { name: string; project: string }, isShared: boolean): string {
  return isShared ? `${pipeline.project}/${pipeline.name}` : pipeline.name;
}

export function pipelineAt(name: string, chosen: Record<string, string | undefined> = {}): string {
  return href(["pipelines", name], chosen);
}

export function runAt(no: number, step?: string): string {
  return href(["runs", no], { step });
}
