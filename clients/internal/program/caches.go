package program

// Caches, which ask when they are asked.

var _ = register(&Program{
	Name: "dnsmasq", Title: "dnsmasq", Packages: []string{"dnsmasq-base"}, Version: []string{"dnsmasq", "--version"},
	Start: func(c *Cell) (Use, error) {
		_, err := c.Run("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--user=root", "--pid-file",
			"--listen-address=127.0.0.2", "--bind-interfaces", "--port=53", "--server=127.0.0.1")
		if err != nil {
			return nil, err
		}
		return ask("127.0.0.2:53"), c.Listens("127.0.0.2:53")
	},
})

var _ = register(&Program{
	Name: "unbound", Title: "Unbound", Packages: []string{"unbound"}, Version: []string{"unbound", "-V"},
	Start: func(c *Cell) (Use, error) {
		path, err := c.File("unbound.conf", `server:
    interface: 127.0.0.2
    do-daemonize: no
    use-syslog: no
    chroot: ""
    username: ""
    pidfile: ""
    directory: "`+c.Dir+`"
    do-not-query-localhost: no
    module-config: "iterator"
    local-zone: "example." nodefault
forward-zone:
    name: "."
    forward-addr: 127.0.0.1
remote-control:
    control-enable: no
`)
		if err != nil {
			return nil, err
		}
		if _, err := c.Run("unbound", "-d", "-c", path); err != nil {
			return nil, err
		}
		return ask("127.0.0.2:53"), c.Listens("127.0.0.2:53")
	},
})
