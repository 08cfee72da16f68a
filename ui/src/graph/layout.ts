/** Ask the worker for a layout. One worker for the page; it is started by the first graph. */
import type { Link } from "./layers";
import type { Asked } from "./layout.worker";
import workerAddress from "./layout.worker?worker&url";
import type { Item, Layout } from "./placing";

type Policy = { createScriptURL: (address: string) => unknown };
type Trusting = {
  trustedTypes?: {
    createPolicy: (name: string, rules: { createScriptURL: (address: string) => string }) => Policy;
  };
};

let worker: Worker | null = null;
let last = 0;
const waiting = new Map<number, { done: (layout: Layout) => void; failed: (reason: Error) => void }>();

/** Where everything stands. */
export function layOut(items: Item[], links: Link[]): Promise<Layout> {
  worker ??= started();
  const no = ++last;
  const asked: Asked = { no, items, links };
  return new Promise((done, failed) => {
    waiting.set(no, { done, failed });
    worker?.postMessage(asked);
  });
}

function started(): Worker {
  // The content security policy wants the address of a script to be vouched for; ours is a constant of the build.
  const policy = (window as Trusting).trustedTypes?.createPolicy("partita-graph", {
    createScriptURL: (address) => address,
  });
  const address = policy ? (policy.createScriptURL(workerAddress) as string) : workerAddress;
  const made = new Worker(address, { type: "module" });
  made.onmessage = ({ data }: MessageEvent<{ no: number; layout: Layout }>) => {
    waiting.get(data.no)?.done(data.layout);
    waiting.delete(data.no);
  };
  made.onerror = (event) => {
    for (const each of waiting.values())
      each.failed(new Error(event.message || "the layout could not be made"));
    waiting.clear();
  };
  return made;
}
