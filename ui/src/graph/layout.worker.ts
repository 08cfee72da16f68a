/** The worker in which graphs are laid out. */
import type { Link } from "./layers";
import { type Item, place } from "./placing";

export type Asked = { no: number; items: Item[]; links: Link[] };

self.onmessage = ({ data }: MessageEvent<Asked>) => {
  self.postMessage({ no: data.no, layout: place(data.items, data.links) });
};
