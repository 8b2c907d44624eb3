import io.netty.channel.EventLoop;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.nio.NioDatagramChannel;
import io.netty.resolver.dns.DnsAddressResolverGroup;
import io.netty.resolver.dns.DnsNameResolver;
import io.netty.resolver.dns.DnsServerAddressStreamProviders;
import io.netty.util.Version;
import io.netty.util.concurrent.Future;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;

/** Looks up the names on its standard input with Netty's resolver. */
public final class Driver {
    public static void main(String[] args) throws IOException {
        if (args.length > 0) {
            System.out.println(Version.identify(DnsNameResolver.class.getClassLoader()).get("netty-resolver-dns").artifactVersion());
            return;
        }
        EventLoop loop = new NioEventLoopGroup(1).next();
        DnsAddressResolverGroup group = new DnsAddressResolverGroup(NioDatagramChannel.class, DnsServerAddressStreamProviders.platformDefault());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", 2);
            group.getResolver(loop).resolve(InetSocketAddress.createUnresolved(words[1], 8080)).addListener((Future<InetSocketAddress> f) -> {
                if (f.isSuccess()) {
                    System.out.println(words[0] + " " + f.getNow().getAddress().getHostAddress());
                } else {
                    System.out.println(words[0] + " - " + String.valueOf(f.cause().getMessage()).replace('\n', ' '));
                }
            });
        }
        System.exit(0);
    }
}
