//! Sees to it that `web/dist` exists, so that the crate compiles before the page was built. A real page is never touched.

use std::path::Path;

const PLAIN_PAGE: &str = r#"<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>DexOrder</title></head>
<body>
<h1>The page is not built yet</h1>
<p>This gateway was compiled without its web page. Run <code>make up</code>, or <code>npm ci &amp;&amp; npm run build</code> in
<code>gateway/web</code>, and compile again. The API works: see <a href="/openapi.json">/openapi.json</a> and
<a href="/api/v1/health">/api/v1/health</a>.</p>
</body>
</html>
"#;

fn main() {
    let dist = Path::new("web/dist");
    let index = dist.join("index.html");
    if !index.exists()
        && let Err(error) = std::fs::create_dir_all(dist).and_then(|()| std::fs::write(&index, PLAIN_PAGE))
    {
        println!("cargo::warning=web/dist cannot be written: {error}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=web/dist");
}
