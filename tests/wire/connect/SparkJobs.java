/*
 * SparkJobs.java - Spark's Kafka source and sink, one job after the other, in this process:
 *
 *     java -cp LIBS SparkJobs BOOTSTRAP JOB...
 *
 * A JOB is words between semicolons, its kind first and then options of Spark's source, KEY=VALUE:
 *     read;...                           prints "PARTITION OFFSET KEY VALUE" of each record, and "== rows"
 *     write;TOPIC;COUNT                  COUNT records, w0, w1 ...
 *     copy;TO;CHECKPOINT;now;...         all that is there (Trigger.AvailableNow)
 *     copy;TO;CHECKPOINT;on;...          and goes on until it is killed
 */
import java.util.concurrent.TimeoutException;
import org.apache.spark.sql.DataFrameReader;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.DataStreamReader;
import org.apache.spark.sql.streaming.StreamingQueryException;
import org.apache.spark.sql.streaming.Trigger;

public class SparkJobs {
    private static final String[] COLUMNS = {"CAST(key AS STRING) AS key", "CAST(value AS STRING) AS value"};

    public static void main(String[] words) throws Exception {
        SparkSession spark = SparkSession.builder().master("local[1]").appName("jobs")
                .config("spark.ui.enabled", false).config("spark.sql.shuffle.partitions", 1)
                .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
                .getOrCreate();
        for (int i = 1; i < words.length; i++) {
            String[] job = words[i].split(";");
            switch (job[0]) {
                case "read": read(spark, words[0], job); break;
                case "write": write(spark, words[0], job); break;
                case "copy": copy(spark, words[0], job); break;
                default: throw new IllegalArgumentException(words[i]);
            }
            System.out.println("== " + job[0]);
            System.out.flush();
        }
        spark.stop();
    }

    private static void read(SparkSession spark, String bootstrap, String[] job) {
        DataFrameReader reader = spark.read().format("kafka").option("kafka.bootstrap.servers", bootstrap);
        for (int i = 1; i < job.length; i++)
            reader = reader.option(job[i].split("=", 2)[0], job[i].split("=", 2)[1]);
        Dataset<Row> rows = reader.load().selectExpr("partition", "offset", COLUMNS[0], COLUMNS[1]);
        for (Row row : rows.collectAsList())
            System.out.println(row.getInt(0) + " " + row.getLong(1) + " " + row.getString(2) + " " + row.getString(3));
    }

    private static void write(SparkSession spark, String bootstrap, String[] job) {
        spark.range(Long.parseLong(job[2])).selectExpr("CAST(id AS STRING) AS key", "concat('w', id) AS value")
                .write().format("kafka").option("kafka.bootstrap.servers", bootstrap).option("topic", job[1]).save();
    }

    private static void copy(SparkSession spark, String bootstrap, String[] job)
            throws TimeoutException, StreamingQueryException {
        DataStreamReader reader = spark.readStream().format("kafka").option("kafka.bootstrap.servers", bootstrap)
                .option("startingOffsets", "earliest");
        for (int i = 4; i < job.length; i++)
            reader = reader.option(job[i].split("=", 2)[0], job[i].split("=", 2)[1]);
        Trigger trigger = job[3].equals("now") ? Trigger.AvailableNow() : Trigger.ProcessingTime("200 milliseconds");
        reader.load().selectExpr(COLUMNS).writeStream().format("kafka")
                .option("kafka.bootstrap.servers", bootstrap).option("topic", job[1])
                .option("checkpointLocation", job[2]).trigger(trigger).start().awaitTermination();
    }
}
