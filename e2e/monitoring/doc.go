// Package monitoring has the tests of deploy/monitoring: the dashboard and the
// rules are checked for form, the rules run against made-up series, and all of
// both against a real Prometheus that scrapes CoreDNS with ttlfloor under load.
//
// It is a module of its own, so that what knows the forms of Grafana and of the
// Prometheus operator is no requirement of the plugin.
package monitoring
