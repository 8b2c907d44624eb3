//! Looks up the names on its standard input with hickory-resolver and the options that it has
//! by default: addresses, or SRV records where a name begins with an underscore.

use std::error::Error;
use std::io::{stdin, BufRead};
use std::net::IpAddr;

use hickory_resolver::TokioResolver;

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let _entered = runtime.enter();
    let resolver = TokioResolver::builder_tokio()?.build()?;
    for line in stdin().lock().lines() {
        let line = line?;
        let (number, name) = line.split_once(' ').ok_or("a line without a name")?;
        let (number, name) = (number.to_string(), name.to_string());
        let resolver = resolver.clone();
        runtime.spawn(async move {
            if name.starts_with('_') {
                match resolver.srv_lookup(name).await {
                    Err(err) => println!("{number} - {}", err.to_string().replace('\n', " ")),
                    Ok(_) => println!("{number} SRV"),
                }
                return;
            }
            match resolver.lookup_ip(name).await {
                Err(err) => println!("{number} - {}", err.to_string().replace('\n', " ")),
                Ok(all) => match all.iter().find(IpAddr::is_ipv4) {
                    Some(address) => println!("{number} {address}"),
                    None => println!("{number} - no IPv4 address"),
                },
            }
        });
    }
    Ok(())
}
