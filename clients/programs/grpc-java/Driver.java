import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.internal.GrpcUtil;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Calls the servers of the names on its standard input, with a channel for each name. */
public final class Driver {
    /** Messages are bytes, of which there are none. */
    private static final MethodDescriptor.Marshaller<byte[]> BYTES = new MethodDescriptor.Marshaller<>() {
        @Override
        public InputStream stream(byte[] value) {
            return new ByteArrayInputStream(value);
        }

        @Override
        public byte[] parse(InputStream stream) {
            return new byte[0];
        }
    };

    private static final MethodDescriptor<byte[], byte[]> METHOD = MethodDescriptor.<byte[], byte[]>newBuilder()
            .setType(MethodDescriptor.MethodType.UNARY).setFullMethodName("case.Case/Call")
            .setRequestMarshaller(BYTES).setResponseMarshaller(BYTES).build();

    private static ManagedChannel channel(String name) {
        return NettyChannelBuilder.forTarget("dns:///" + name + ":8080").defaultLoadBalancingPolicy("round_robin").usePlaintext().build();
    }

    /** A call. The server is not one of gRPC: that it answers is enough. */
    private static void call(ManagedChannel channel, String number) {
        ClientCall<byte[], byte[]> call = channel.newCall(METHOD, CallOptions.DEFAULT);
        call.start(new ClientCall.Listener<>() {
            @Override
            public void onClose(Status status, Metadata trailers) {
                SocketAddress peer = call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
                if (peer instanceof InetSocketAddress) {
                    System.out.println(number + " " + ((InetSocketAddress) peer).getAddress().getHostAddress());
                } else {
                    System.out.println(number + " - " + status.getCode() + ": " + status.getDescription());
                }
            }
        }, new Metadata());
        call.sendMessage(new byte[0]);
        call.halfClose();
        call.request(1);
    }

    public static void main(String[] args) throws IOException {
        if (args.length > 0) {
            System.out.println(GrpcUtil.getGrpcBuildVersion().getImplementationVersion());
            return;
        }
        Map<String, ManagedChannel> channels = new ConcurrentHashMap<>();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", 2);
            call(channels.computeIfAbsent(words[1], Driver::channel), words[0]);
        }
        System.exit(0);
    }
}
