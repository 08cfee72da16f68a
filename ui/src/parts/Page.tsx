/** What every screen has: title, way back, actions; sections; the bottom line with the equivalent command. */

import type { ReactNode } from "react";
import { Command } from "./Command";
import css from "./Page.module.css";
import { To } from "./To";
import { useTitle } from "./When";

export type Crumb = { text: string; to?: string };

/** A screen. `title` is its name in the browser too; `name` what stands there if it is more than text. */
export function Page({
  title,
  name,
  crumbs = [],
  facts,
  actions,
  command,
  wide,
  children,
}: {
  title: string;
  name?: ReactNode;
  crumbs?: Crumb[];
  facts?: ReactNode;
  actions?: ReactNode;
  command?: string;
  wide?: boolean;
  children: ReactNode;
}) {
  useTitle(title);
  return (
    <div className={`${css.page} ${wide ? css.wide : ""}`}>
      <header className={css.head}>
        {crumbs.length > 0 && (
          <nav aria-label="Where this is" className={css.crumbs}>
            {crumbs.map((crumb) => (
              <span key={crumb.text}>
                {crumb.to ? <To to={crumb.to}>{crumb.text}</To> : crumb.text}
                <span aria-hidden className={css.slash}>
                  /
                </span>
              </span>
            ))}
          </nav>
        )}
        <div className={css.line}>
          <h1 className={css.title}>{name ?? title}</h1>
          {actions && <div className={css.actions}>{actions}</div>}
        </div>
        {facts && <div className={css.facts}>{facts}</div>}
      </header>
      {children}
      {command && (
        <footer className={css.foot}>
          <Command line={command} />
        </footer>
      )}
    </div>
  );
}

/** A part of a screen, under a heading. */
export function Section({
  title,
  aside,
  children,
}: {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className={css.section}>
      {(title || aside) && (
        <div className={css.heading}>
          <h2>{title}</h2>
          {aside && <div className={css.aside}>{aside}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

/** One fact in a row of facts: a small word above what it is. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className={css.fact}>
      <span className={css.factName}>{name}</span>
      <span className={css.factValue}>{children}</span>
    </div>
  );
}

/** A surface with a border, for what is really apart. */
export function Panel({ children, tone }: { children: ReactNode; tone?: "failed" | "late" | "person" }) {
  return <div className={`${css.panel} ${tone ? css[tone] : ""}`}>{children}</div>;
}
