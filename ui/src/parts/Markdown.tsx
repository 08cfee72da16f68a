/** Markdown of people's metadata and descriptions, as elements; raw HTML in it is text, images are links. */
import ReactMarkdown from "react-markdown";
import gfm from "remark-gfm";
import { safeHref } from "./links";
import css from "./Metadata.module.css";

export default function Markdown({ text }: { text: string }) {
  return (
    <div className={css.markdown}>
      <ReactMarkdown
        remarkPlugins={[gfm]}
        skipHtml
        urlTransform={(address) => safeHref(address) ?? ""}
        components={{
          a: ({ href, children }) =>
            href ? (
              <a href={href} rel="noreferrer noopener" target="_blank">
                {children}
              </a>
            ) : (
              <span>{children}</span>
            ),
          // Nothing outside the server is asked for, so a picture is its address.
          img: ({ src, alt }) => {
            const address = safeHref(src);
            return address ? (
              <a href={address} rel="noreferrer noopener" target="_blank">
                {alt || address}
              </a>
            ) : (
              <span>{alt}</span>
            );
          },
        }}
      >
        {text}
      </ReactMarkdown>
    </div>
  );
}
