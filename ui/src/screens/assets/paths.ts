/** Addresses of the screens of assets and backfills. */
import { href } from "@/frame/address";

export const assetAt = (name: string, tab = "", partition = "") => href(["assets", name], { tab, partition });
export const runAt = (run: string) => href(["runs", run]);
export const lineageAt = (asset: string) => href(["lineage"], { asset });
export const backfillAt = (id: string) => href(["backfills", id]);
export const backfillOf = (target: string, partitions = "") =>
  href(["backfills"], { new: "1", target, partitions });
