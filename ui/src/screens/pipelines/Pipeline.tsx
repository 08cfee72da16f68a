/** Not written yet. */
import { Page } from "@/parts/Page";

export default function Pipeline() {
  return <Page title="Pipeline">{null}</Page>;
}
