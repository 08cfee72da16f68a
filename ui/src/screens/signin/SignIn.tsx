/** Not written yet. */
import { Page } from "@/parts/Page";

export default function SignIn() {
  return <Page title="SignIn">{null}</Page>;
}
