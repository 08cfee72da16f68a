/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Asset() {
  return <Page title="Asset">{null}</Page>;
}
