import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Looks up the names on its standard input as every Java program does. */
public final class Driver {
    public static void main(String[] args) throws IOException {
        ExecutorService threads = Executors.newCachedThreadPool();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", 2);
            threads.execute(() -> {
                try {
                    System.out.println(words[0] + " " + InetAddress.getByName(words[1]).getHostAddress());
                } catch (UnknownHostException e) {
                    System.out.println(words[0] + " - " + e.getMessage());
                }
            });
        }
        System.exit(0);
    }
}
