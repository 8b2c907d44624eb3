import io.servicetalk.client.api.ServiceDiscoverer;
import io.servicetalk.client.api.ServiceDiscovererEvent;
import io.servicetalk.dns.discovery.netty.DnsServiceDiscoverers;
import io.servicetalk.transport.api.HostAndPort;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;

/** Discovers the names on its standard input with ServiceTalk, each from its first use on. */
public final class Driver {
    private static final ServiceDiscoverer<HostAndPort, InetSocketAddress, ServiceDiscovererEvent<InetSocketAddress>> DISCOVERER =
            DnsServiceDiscoverers.builder("driver").buildARecordDiscoverer();

    /** What is known of a name. It is subscribed to once, so an error is its end. */
    private static final class Known {
        private final Set<String> addresses = new LinkedHashSet<>();
        private final CompletableFuture<Void> first = new CompletableFuture<>();
        private Throwable error;

        Known(String name) {
            DISCOVERER.discover(HostAndPort.of(name, 8080)).beforeOnError(this::end).forEach(this::change);
        }

        private synchronized void change(Collection<ServiceDiscovererEvent<InetSocketAddress>> events) {
            for (ServiceDiscovererEvent<InetSocketAddress> event : events) {
                String address = event.address().getAddress().getHostAddress();
                addresses.remove(address);
                if (event.status().equals(ServiceDiscovererEvent.Status.AVAILABLE)) {
                    addresses.add(address);
                }
            }
            first.complete(null);
        }

        private synchronized void end(Throwable why) {
            error = why;
            first.complete(null);
        }

        /** The address that became available last. */
        synchronized String last() {
            if (error != null) {
                return "- " + String.valueOf(error.getMessage()).replace('\n', ' ');
            }
            String last = "- no address";
            for (String address : addresses) {
                last = address;
            }
            return last;
        }
    }

    public static void main(String[] args) throws IOException {
        if (args.length > 0) {
            System.out.println(DnsServiceDiscoverers.class.getPackage().getImplementationVersion());
            return;
        }
        Map<String, Known> names = new ConcurrentHashMap<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", 2);
            Known known = names.computeIfAbsent(words[1], Known::new);
            known.first.thenRun(() -> System.out.println(words[0] + " " + known.last()));
        }
        System.exit(0);
    }
}
